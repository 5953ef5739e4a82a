"""What a report says, as one value (`view`), and each format that renders it."""
