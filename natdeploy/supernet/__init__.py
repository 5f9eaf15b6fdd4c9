"""The torch part: elastic supernet, extraction of subnets, checkpoints, data, training and evaluation."""
