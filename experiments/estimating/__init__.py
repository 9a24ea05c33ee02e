"""Trainings for the study of estimates: what runs answer, kept so that estimators are asked later.

    python -m experiments.estimating --data parquet:train.parquet --other parquet:test.parquet \
        --tasks DISCOVERY DISCOVERY --learner convnet --seed 0 --work DIR

One process is one learner and one seed; given again it goes on where it was stopped. What is kept
are answers (predicted classes, or the probability of one class), never estimates, except under
corruption, where answers would be gigabytes: there each estimator's value is kept.
"""
