"""RT-DETR, D-FINE and ViTPose of transformers, behind the protocols of ``detectors.base``. Needs the extra ``hf``."""
