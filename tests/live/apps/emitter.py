"""An unmodified SDK that emits traces: `emitter.py grpc|http ENDPOINT TRACES SPANS_PER_TRACE`.

The queue holds everything, so that the SDK itself drops nothing; prints how many spans it ended.
"""

import sys

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind


def main(protocol: str, endpoint: str, traces: int, spans: int) -> None:
    exporter: SpanExporter = (
        GrpcExporter(endpoint, insecure=True)
        if protocol == "grpc"
        else HttpExporter(f"{endpoint}/v1/traces")
    )
    provider = TracerProvider(resource=Resource.create({"service.name": f"emitter-{protocol}"}))
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=traces * spans, schedule_delay_millis=200)
    )
    tracer = provider.get_tracer("emitter")
    for _ in range(traces):
        with tracer.start_as_current_span("GET /work", kind=SpanKind.SERVER):
            for step in range(spans - 1):
                with tracer.start_as_current_span(f"step {step}"):
                    pass
    assert provider.force_flush(60_000)
    provider.shutdown()
    print(traces * spans)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
