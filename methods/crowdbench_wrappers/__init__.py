"""Other people's systems as methods: ViTPose, RTMPose, RTMO, YOLO pose; each in a file of its own.

Nothing of theirs is a dependency of crowdbench. What a wrapper needs comes with an extra, and is imported
when a model is loaded.
"""
