"""Would a network learn the labels, or a cue that goes with them?"""
