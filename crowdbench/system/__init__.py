"""What crowdbench needs of the machine: files, text for terminals."""
