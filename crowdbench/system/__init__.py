"""What the bench needs of the machine: files, text for terminals."""
