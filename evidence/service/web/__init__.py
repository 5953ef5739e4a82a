"""The read-only web application over the store: the same values as pages and as JSON, for the owner and for the auditor."""
