"""report.pdf before it is signed: PDF/A-3a and PDF/UA-1 in one file, with evidence.json as its associated file.

1. The renderer reads the template folder and nothing else: no network, no other file. A request for anything else is an error.
2. Text is set in the fonts of that folder alone. A character that they lack is spelled out (⟨U+682A⟩), so that neither the machine's
   fonts nor an empty box stand in for it.
3. Dates, identifier and metadata come from the view: same view, same bytes.
4. One empty signature field lies in the frame on the first page. It is made here rather than by the signer, because PDF/UA-1 wants it in
   the tag tree (7.18.4).
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from evidence.errors import ReportError
from evidence.report.document import utc
from evidence.report.presentation import PAPER, DataFile, values
from evidence.report.templates import render, template_folder, template_text
from evidence.report.text import code_point
from evidence.report.view import ReportView

SIGNATURE_FIELD = "EvidenceSignature"
SIGNATURE_LABEL = "Signature of the evidence pack"
_MM = 72 / 25.4
# The frame of `.signature-place` in print.css, a millimetre inside it: left, bottom, right, top from the lower left corner of the page.
SIGNATURE_BOX = tuple(round(edge * _MM, 2) for edge in (31.0, 19.0, 189.0, 43.0))
FONTS = (
    ("Evidence Sans", 400, "NotoSans-Regular.ttf"),
    ("Evidence Sans", 700, "NotoSans-Bold.ttf"),
    ("Evidence Mono", 400, "NotoSansMono-Regular.ttf"),
)


def document(view: ReportView, evidence: bytes, files: Sequence[DataFile]) -> bytes:
    """The PDF. Raises ReportError when a template or font is missing."""
    from weasyprint import CSS, HTML, Attachment
    from weasyprint.text.fonts import FontConfiguration

    folder = template_folder()
    text = render(
        "document.html.j2", {**values(view, files, PAPER, paper=True), "generated": utc(view.cover.generated_at)}
    )
    fonts, fetcher = FontConfiguration(), _fetcher(folder)
    style = font_faces(folder) + template_text("base.css") + template_text("print.css")
    stylesheet = CSS(string=style, font_config=fonts, url_fetcher=fetcher)
    html = HTML(string=spelled_out(text, folder), url_fetcher=fetcher)
    rendered = html.render(font_config=fonts, stylesheets=[stylesheet])
    if fetcher.refused:
        raise ReportError(f"{folder}: the report's template asks for {fetcher.refused[0]!r}, which is not part of it")
    _claim_accessible(rendered.metadata)
    made = view.cover.generated_at.astimezone(UTC)
    attachment = Attachment(
        file_obj=io.BytesIO(evidence),
        name="evidence.json",
        description="What this report says, machine-readable",
        relationship="Data",
        created=made,
        modified=made,
    )
    return cast(
        "bytes",
        rendered.write_pdf(
            pdf_variant="pdf/a-3a",
            pdf_tags=True,
            pdf_identifier=hashlib.sha256(evidence).digest()[:16],
            attachments=[attachment],
            finisher=finish,
        ),
    )


# -- fonts and files --------------------------------------------------------------------------------------------------


def font_faces(folder: Path) -> str:
    """@font-face rules for the shipped fonts. Raises ReportError when one is missing."""
    faces = []
    for family, weight, name in FONTS:
        path = folder / "fonts" / name
        if not path.is_file():
            raise ReportError(f"{path}: the report's font is missing; install evidence again")
        faces.append(f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url("{path.as_uri()}") }}\n')
    return "".join(faces)


def spelled_out(text: str, folder: Path) -> str:
    """The text with every character that the fonts lack spelled out."""
    if text.isascii():
        return text
    known = _known_characters(folder)
    return "".join(one if one in "\n\t" or ord(one) in known else code_point(one) for one in text)


@cache
def _known_characters(folder: Path) -> frozenset[int]:
    """Those that both weights of the text face have, or the mono face that stands in for both."""
    regular, bold, mono = (_characters(folder / "fonts" / name) for _, _, name in FONTS)
    return (regular & bold) | mono


def _characters(font: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont, TTLibError

    try:
        return frozenset(TTFont(font, lazy=True).getBestCmap())
    except TTLibError as error:
        raise ReportError(f"{font}: the report's font cannot be read: {error}; install evidence again") from error


def _fetcher(folder: Path) -> Any:
    """What WeasyPrint asks for files: those of the folder and no others; `refused` lists what else was asked for."""
    from weasyprint.urls import URLFetcher, URLFetcherResponse

    class TemplateFetcher(URLFetcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(allowed_protocols=("file",), allow_redirects=False)
            self.refused: list[str] = []

        def fetch(self, url: str, headers: object = None) -> Any:
            parts = urlsplit(url)
            path = Path(unquote(parts.path)).resolve()
            if parts.scheme != "file" or parts.netloc or not path.is_relative_to(folder.resolve()):
                self.refused.append(url[:200])
                raise ValueError(f"{url[:200]!r} is not part of the report")
            return URLFetcherResponse(url, path.read_bytes())

    return TemplateFetcher()


# -- what WeasyPrint does not write itself ----------------------------------------------------------------------------

_ACCESSIBLE = (
    b'<rdf:Description xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" rdf:about="" pdfuaid:part="1"/>'
    # PDF/A-3 (6.6.2.3) wants a description of every schema that it does not know itself.
    b'<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"'
    b' xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">'
    b'<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">'
    b"<pdfaSchema:schema>PDF/UA identification</pdfaSchema:schema>"
    b"<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>"
    b"<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>"
    b'<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">'
    b"<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>"
    b"<pdfaProperty:category>internal</pdfaProperty:category>"
    b"<pdfaProperty:description>Part of ISO 14289 that the file conforms to</pdfaProperty:description>"
    b"</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>"
)


def _claim_accessible(metadata: Any) -> None:
    """Say PDF/UA-1 in the XMP metadata beside the PDF/A-3a that WeasyPrint writes: it can write one of the two."""
    generate: Callable[..., bytes] = metadata.generate_rdf_metadata

    def both(*arguments: Any) -> bytes:
        return generate(*arguments).replace(b"</rdf:RDF>", _ACCESSIBLE + b"</rdf:RDF>")

    metadata.generate_rdf_metadata = both


def finish(_document: Any, pdf: Any) -> None:
    """What is done to the PDF before it is written (a WeasyPrint finisher)."""
    import pydyf

    pdf.catalog["AF"] = pydyf.Array(dict.fromkeys(pdf.catalog["AF"]))  # WeasyPrint 70 names each attachment twice
    add_signature_field(pdf)


def add_signature_field(pdf: Any) -> None:
    """One empty, visible, tagged signature field in the frame of the first page."""
    import pydyf

    def of(reference: str | bytes) -> Any:
        text = reference.decode() if isinstance(reference, bytes) else reference
        return pdf.objects[int(text.split()[0])]

    def added(one: Any) -> Any:
        pdf.add_object(one)
        return one

    left, bottom, right, top = SIGNATURE_BOX
    page_reference = pdf.page_references[0]
    page, tree = of(page_reference), of(pdf.catalog["StructTreeRoot"])
    numbers, root = of(tree["ParentTree"])["Nums"], of(tree["K"][0])
    key = max(numbers[0::2], default=-1) + 1
    empty = {
        "Type": "/XObject",
        "Subtype": "/Form",
        "BBox": pydyf.Array([0, 0, right - left, top - bottom]),
        "Resources": pydyf.Dictionary(),
    }
    appearance = added(pydyf.Stream([], pydyf.Dictionary(empty)))
    widget = added(
        pydyf.Dictionary(
            {
                "Type": "/Annot",
                "Subtype": "/Widget",
                "FT": "/Sig",
                "T": pydyf.String(SIGNATURE_FIELD),
                "TU": pydyf.String(SIGNATURE_LABEL),
                "Contents": pydyf.String(SIGNATURE_LABEL),
                "F": 132,  # printed, locked
                "Rect": pydyf.Array([left, bottom, right, top]),
                "P": page_reference,
                "StructParent": key,
                "AP": pydyf.Dictionary({"N": appearance.reference}),
            }
        )
    )
    element = {
        "Type": "/StructElem",
        "S": "/Form",
        "P": root.reference,
        "Pg": page_reference,
        "Alt": pydyf.String(SIGNATURE_LABEL),
    }
    tag = added(pydyf.Dictionary(element))
    tag["K"] = pydyf.Array([pydyf.Dictionary({"Type": "/OBJR", "Obj": widget.reference, "Pg": page_reference})])
    root["K"].append(tag.reference)
    numbers.extend([key, tag.reference])
    page.setdefault("Annots", pydyf.Array()).append(widget.reference)
    form = added(pydyf.Dictionary({"Fields": pydyf.Array([widget.reference])}))
    pdf.catalog["AcroForm"] = form.reference
