"""Read files of predictions in several styles and refuse what cannot be scored."""
