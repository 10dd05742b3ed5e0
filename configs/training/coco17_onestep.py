"""Stage 2 of the shipped COCO-17 weights, continued from what `coco17_long` reached for a single step of sampling."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512)
optimizer = "muon"
steps = 3000
warmup = 50
batch = 16
frames = 64
rate = 8e-4
seed = 5
objective = dict(last_share=0.9, joints=1.0)
