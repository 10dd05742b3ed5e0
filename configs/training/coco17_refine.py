"""Stage 2 of the shipped COCO-17 weights, continued with Muon from what `coco17_finetune` reached."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512)
optimizer = "muon"
steps = 3000
warmup = 50
batch = 32
frames = 32
rate = 1e-3
seed = 1
