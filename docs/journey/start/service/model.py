"""Parcels, and the way they go. Nothing here waits."""

from dataclasses import asdict, dataclass

ROUTE = ("collected", "sorted", "on the road", "delivered")
WAITING, FAILED = "waiting", "failed"
FINAL = (ROUTE[-1], FAILED)


class NoSuchParcel(LookupError):
    """There is no parcel of that number."""


class BadParcel(ValueError):
    """What was sent is no parcel."""


@dataclass(frozen=True)
class Parcel:
    """One parcel as it is now."""

    number: int
    sender: str
    address: str
    weight: float
    status: str
    attempts: int = 0

    def as_json(self):
        """Return what clients get."""
        return asdict(self)

    @property
    def is_final(self):
        """Whether nothing happens to it any more."""
        return self.status in FINAL


def checked(data):
    """Return sender, address and weight of what a client sent."""
    if not isinstance(data, dict):
        raise BadParcel("a parcel is an object")
    values = []
    for name in ("sender", "address"):
        value = data.get(name)
        if not isinstance(value, str) or not value.strip():
            raise BadParcel(f"{name} is missing")
        values.append(value.strip())
    weight = data.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise BadParcel("weight is a number")
    if not 0 < weight <= 100:
        raise BadParcel("weight is more than 0 and at most 100")
    return (*values, float(weight))


def next_status(status):
    """Return what comes after a status on the route."""
    if status == WAITING:
        return ROUTE[0]
    return ROUTE[ROUTE.index(status) + 1]


def legs_left(status):
    """Return the statuses that are still to come."""
    if status == WAITING:
        return ROUTE
    return ROUTE[ROUTE.index(status) + 1 :]
