"""Stage 2 at the paper's size (method 5): for a machine with a GPU and more motion than ships with this project."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=512, layers=8, heads=4, feed_forward=1024)
steps = 200000
warmup = 2000
batch = 39
frames = 150
rate = 1e-4
seed = 0
