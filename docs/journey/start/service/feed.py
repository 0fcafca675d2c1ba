"""News of parcels, for whoever listens."""

from eventlet import queue


class Subscription:
    """One listener: what happens is put into its queue."""

    def __init__(self, feed):
        self._feed = feed
        self._news = queue.Queue(100)

    def put(self, news):
        """Keep a piece of news; a listener that is too slow loses the oldest."""
        while True:
            try:
                self._news.put_nowait(news)
                return
            except queue.Full:
                try:
                    self._news.get_nowait()
                except queue.Empty:
                    pass

    def get(self):
        """Wait for the next piece of news; None at the end."""
        return self._news.get()

    def close(self):
        """Listen no more."""
        self._feed.forget(self)


class Feed:
    """Tells all listeners the same."""

    def __init__(self):
        self._listeners = []

    def subscribe(self):
        """Return a new subscription."""
        subscription = Subscription(self)
        self._listeners.append(subscription)
        return subscription

    def forget(self, subscription):
        """Take a listener away."""
        if subscription in self._listeners:
            self._listeners.remove(subscription)

    def publish(self, number, status):
        """Tell what happened."""
        for subscription in list(self._listeners):
            subscription.put({"number": number, "status": status})

    def close(self):
        """Tell all listeners that there is no more."""
        for subscription in list(self._listeners):
            subscription.put(None)

    def __len__(self):
        return len(self._listeners)
