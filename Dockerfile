# syntax=docker/dockerfile:1
# Two stages: the first builds the wheel and an environment of hash-pinned packages, the second only runs it. Give the base image of both
# from your own registry and by digest: --build-arg BASE=registry.example/python@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock ./
# The environment holds no pip: the image's own one fills it. Wheels only, so nothing is compiled.
RUN python -m venv --without-pip /opt/evidence \
 && pip --python /opt/evidence/bin/python install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
# The build back end comes from the development lock file, into an environment that is thrown away.
COPY requirements-dev.lock ./
RUN python -m venv /tmp/build \
 && /tmp/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY evidence ./evidence
COPY controls ./controls
COPY report_templates ./report_templates
COPY migrations ./migrations
RUN /tmp/build/bin/python -m build --wheel --no-isolation --outdir /tmp/dist \
 && pip --python /opt/evidence/bin/python install --no-cache-dir --no-deps --no-index /tmp/dist/*.whl \
 && /opt/evidence/bin/evidence --version

FROM ${BASE}
# Pango draws the PDF's text. Nothing is installed into this image once it runs, so pip goes too.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core \
 && rm -rf /var/lib/apt/lists/* /usr/local/bin/pip* /usr/local/lib/python3.11/site-packages/* \
 && install -d -o 65532 -g 65532 /data
COPY --from=build /opt/evidence /opt/evidence
# The root file system may be read-only: everything that is written goes to /data (a volume) or /tmp (an emptyDir). The key that is made
# on first use lies under /data too, so that it outlives the container, and so does what the store does not take at the time.
ENV PATH=/opt/evidence/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    XDG_CONFIG_HOME=/data \
    XDG_STATE_HOME=/data
USER 65532:65532
WORKDIR /data
VOLUME ["/data", "/tmp"]
ENTRYPOINT ["evidence"]
CMD ["--help"]
