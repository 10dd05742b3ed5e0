"""Stage 1 of the shipped COCO-17 weights: one random view at a time, from noise, cameras and ground alone."""

stage = 1
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512)
steps = 150
warmup = 50
batch = 64
frames = 32
rate = 1e-3
seed = 0
