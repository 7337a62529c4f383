"""PINet (Wang et al., "Robust Pose Estimation in Crowded Scenes with Direct Pose-Level Inference", NeurIPS 2021), to come.

Its table of published weights is here already.
"""
