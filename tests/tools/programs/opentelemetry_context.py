"""OpenTelemetry's current span is each green thread's own, and its children's parent."""
# needs: opentelemetry-sdk

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import eventlet
from eventlet import greenpool, tpool

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("test")


def part(name):
    with tracer.start_as_current_span(name):
        eventlet.sleep(0)


def request(number):
    with tracer.start_as_current_span(f"request {number}"):
        eventlet.sleep(0)
        part(f"own of {number}")
        eventlet.spawn(part, f"green of {number}").wait()
        tpool.execute(part, f"thread of {number}")


list(greenpool.GreenPool().imap(request, range(10)))
spans = {span.name: span for span in exporter.get_finished_spans()}
assert len(spans) == 40, sorted(spans)
for name, span in spans.items():
    number = name.split()[-1]
    parent = span.parent and span.parent.span_id
    if name.startswith("request"):
        assert parent is None, name
    else:
        assert parent == spans[f"request {number}"].context.span_id, name
assert not trace.get_current_span().get_span_context().is_valid
print("pass")
