"""Third-party systems as methods: ViTPose, RTMPose, RTMO and YOLO pose, one file each.

Nothing of theirs is a dependency of crowdbench. What a wrapper needs comes with an extra, and is imported
when a model is loaded.
"""
