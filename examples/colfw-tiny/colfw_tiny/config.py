"""The options of the plugins. A study is checked with these, so importing them is cheap."""

from attrs import field, frozen

from colfw.typed import positive


@frozen(kw_only=True)
class DenoiserConfig:
    """The size of the denoiser."""

    rows: int = field(default=8, validator=positive)
    width: int = field(default=12, validator=positive)
    columns: int = field(default=48, validator=positive)


@frozen(kw_only=True)
class ArrayConfig:
    """The size and the clock of the machine."""

    core_clock_mhz: int = field(default=800, validator=positive)
    multipliers: int = field(default=256, validator=positive)
    element_bytes: int = field(default=2, validator=positive)


@frozen(kw_only=True)
class BusConfig:
    """The width and the clock of the bus."""

    clock_mhz: int = field(default=1000, validator=positive)
    bytes_per_cycle: int = field(default=32, validator=positive)
