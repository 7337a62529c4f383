"""Rules for COCO annotation files: required content and implausible content."""
