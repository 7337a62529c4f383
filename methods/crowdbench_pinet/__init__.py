"""PINet, to come; its table of published weights is here already.

Wang et al., "Robust Pose Estimation in Crowded Scenes with Direct Pose-Level Inference", NeurIPS 2021.
"""
