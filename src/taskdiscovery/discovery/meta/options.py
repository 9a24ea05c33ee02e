"""Options of the meta-gradient; the defaults suit two cores, the config `published` the paper."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config import Options, check_learner, flag_of, option
from taskdiscovery.errors import ConfigError

META = "meta-gradient"


@dataclass(frozen=True, kw_only=True)
class MetaOptions(Options):
    """How tasks are searched for by gradients through the training of networks."""

    encoder: str = option("", "encoder SPEC (default: the learner)", group=META, names="learner")
    warm_start: str = option(
        "", "begin with the encoder of this run", group=META, metavar="RUN", names="place"
    )
    encoder_weights: str = option(
        "",
        "safetensors of the encoder's weights, to be kept frozen",
        group=META,
        metavar="FILE",
        names="place",
    )
    outer_steps: int = option(300, "updates of the encoder", group=META, low=0, high=10_000_000)
    outer_rate: float = option(1e-3, "learning rate of the encoder (Adam)", group=META, low=0.0)
    inner_steps: int = option(10, "steps that the networks are trained", group=META, low=1)
    inner_batch: int = option(
        256, "images per inner step, shared out among the networks", group=META, low=4
    )
    inner_rate: float = option(1e-3, "learning rate of each network", group=META, low=0.0)
    inner_optimizer: str = option(
        "adam", "what trains the networks", group=META, choices=("sgd", "momentum", "adam")
    )
    networks: int = option(2, "networks that are to agree", group=META, low=2, high=100)
    objective: str = option(
        "final",
        "agreement of the trained networks, along their first epoch, the training loss, or none "
        "(diversity alone, a control)",
        group=META,
        choices=("final", "online", "train-loss", "none"),
    )
    stop_agreement: float | None = option(
        None,
        "online: end the inner loop when agreement has stayed above this for three steps",
        group=META,
        low=0.0,
        high=1.0,
    )
    transform: str = option(
        "none", "of the outer loss", group=META, choices=("none", "exp", "softplus")
    )
    diversity: str = option(
        "uniformity",
        "what keeps tasks apart",
        group=META,
        choices=("uniformity", "information"),
    )
    diversity_weight: float = option(1.0, "its weight in the outer loss", group=META, low=0.0)
    temperature: float = option(5.0, "sharpness of soft labels", group=META, low=1e-6)
    tasks_per_step: int = option(1, "tasks in every outer step", group=META, low=1)
    directions: str = option(
        "fixed",
        "of tasks in the embedding: its axes, random ones, or the best or worst, which are "
        "searched for in the embedding of --warm-start",
        group=META,
        choices=("fixed", "random", "best", "worst"),
    )
    one_step: bool = option(False, "update the encoder after every inner step", group=META)
    fresh_init: bool = option(True, "draw the networks anew in every outer step", group=META)
    share_batch: bool = option(False, "give every network the whole inner batch", group=META)
    contain: tuple[str, ...] = option(
        (),
        "targets that the embedding must contain, e.g. 'label:0,1;attr:hue'",
        group=META,
        separator=";",
        metavar="SPEC[;SPEC]",
        names="labeling",
    )
    contain_weight: float = option(1.0, "weight of the contained targets", group=META, low=0.0)
    gradient: str = option(
        "exact",
        "through the inner loop: exact, its last steps, without curvature, or the published unroll",
        group=META,
        choices=("exact", "truncated", "first_order", "reverse"),
    )
    window: int = option(1, "steps that `truncated` goes back through", group=META, low=1)
    memory: str = option(
        "auto",
        "what the exact gradient keeps: auto takes the fastest that fits",
        group=META,
        choices=("auto", "graphs", "store", "recompute"),
    )
    compile: bool = option(
        False, "compile the inner steps of `store` and `recompute`; rarely pays", group=META
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder:
            check_learner(self.encoder)
        for one, other in _APART:
            if getattr(self, one) and getattr(self, other):
                flags = f"{flag_of(one)} and {flag_of(other)}"
                raise ConfigError(
                    f"{flags} are both given", where="--method meta", hint="give one of the two"
                )
        if self.directions in ("best", "worst") and not self.warm_start:
            raise ConfigError(
                f"--directions {self.directions} needs a trained embedding",
                where="--method meta",
                hint="give a run of discover with --warm-start",
            )
        if self.inner_batch // self.networks < 2 and not self.share_batch:
            raise ConfigError(
                f"{self.inner_batch} images cannot be shared out among {self.networks} networks",
                where="--inner-batch",
                hint=f"give at least {2 * self.networks}",
            )
        if self.one_step and self.objective == "none":
            raise ConfigError(
                "--one-step has no step to follow",
                where="--objective none",
                hint="leave one of them out",
            )


_APART = (("encoder_weights", "warm_start"),)
