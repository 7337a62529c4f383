"""Reading files of predictions, whatever their style, and refusing what cannot be scored."""
