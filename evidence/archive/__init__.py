"""The auditor's index over a folder of packs: static, offline, derived from the packs' manifests alone."""
