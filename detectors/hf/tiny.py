"""Small models of each kind with random weights: they prove that transformers builds and runs what we ask of it."""

from __future__ import annotations

import torch

from mocap_video.detectors.hf.models import load_transformers

_SCALES = [24, 32, 48]
"""Channels of the three scales that a backbone hands to its detector."""


def tiny_rtdetr() -> torch.nn.Module:
    """Return an ``RTDetrForObjectDetection`` with the 80 classes of COCO; ``MissingExtra`` without transformers."""
    transformers = load_transformers()
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=16, hidden_sizes=[16, *_SCALES], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=_SCALES, encoder_hidden_dim=32, encoder_ffn_dim=32,
        feat_strides=[8, 16, 32], d_model=32, decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=4, encoder_attention_heads=4, num_queries=20, num_labels=80,
    )  # fmt: skip
    return transformers.RTDetrForObjectDetection(config)


def tiny_dfine() -> torch.nn.Module:
    """Return a ``DFineForObjectDetection`` with the 80 classes of COCO; ``MissingExtra`` without transformers."""
    transformers = load_transformers()
    backbone = transformers.HGNetV2Config(
        stem_channels=[3, 8, 8], stage_in_channels=[8, 16, *_SCALES[:2]], stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, *_SCALES], hidden_sizes=[16, *_SCALES], stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.DFineConfig(
        backbone_config=backbone, encoder_in_channels=_SCALES, encoder_hidden_dim=32, encoder_ffn_dim=32, d_model=32,
        decoder_in_channels=[32, 32, 32], decoder_ffn_dim=32, decoder_layers=2, decoder_attention_heads=4,
        encoder_attention_heads=4, num_queries=20, num_labels=80, lqe_hidden_dim=16,
    )  # fmt: skip
    return transformers.DFineForObjectDetection(config)


def tiny_vitpose() -> torch.nn.Module:
    """Return a ``VitPoseForPoseEstimation`` with 17 keypoints; ``MissingExtra`` without transformers."""
    transformers = load_transformers()
    backbone = transformers.VitPoseBackboneConfig(
        hidden_size=48, num_attention_heads=3, num_hidden_layers=2, out_indices=[2]
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, use_simple_decoder=False, num_labels=17)
    return transformers.VitPoseForPoseEstimation(config)
