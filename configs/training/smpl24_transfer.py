"""A lifter of SMPL's 24 joints: stage 2 from a finished COCO-17 network, whose layers know motion and cameras."""

stage = 2
skeleton = "smpl24"
network = dict(joints=24, width=192, layers=6, heads=4, feed_forward=512)
optimizer = "muon"
steps = 1000
warmup = 50
batch = 16
frames = 64
rate = 8e-4
seed = 2
objective = dict(last_share=0.9, joints=1.0)
