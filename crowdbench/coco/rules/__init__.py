"""What COCO annotation files must contain, and what they hardly can mean."""
