"""Where objects come from: files and folders, a live API server; cut down to the fields that are kept."""
