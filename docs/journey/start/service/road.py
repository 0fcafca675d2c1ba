"""The road: what takes time, and sometimes fails."""

import eventlet


class Breakdown(Exception):
    """A leg did not go well."""


class Road:
    """Drives parcels; an address says what happens on the way."""

    def __init__(self, seconds):
        self._seconds = seconds

    def drive(self, parcel, status):
        """Take a parcel to its next status."""
        if status == "on the road":
            if "jam" in parcel.address:
                eventlet.sleep(60)
            if "breakdown" in parcel.address and parcel.attempts < 2:
                raise Breakdown(parcel.address)
            if "never" in parcel.address:
                raise Breakdown(parcel.address)
        eventlet.sleep(self._seconds)

    def inspect(self, parcels):
        """Look at many parcels, letting others work in between."""
        weight = 0.0
        for parcel in parcels:
            weight += parcel.weight
            eventlet.sleep(0)
        return weight
