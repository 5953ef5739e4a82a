"""What a cluster is: collected objects, the model that analysis reads, selectors and addresses."""
