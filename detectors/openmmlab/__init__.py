"""RTMDet of mmdet and ViTPose of mmpose, behind the protocols of ``detectors.base``. Needs the extra ``openmmlab``."""
