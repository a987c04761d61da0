"""Reads what hallpass sends to a collector with OpenTelemetry's own messages: an unknown field or a wrong type ends it."""

import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

for line in sys.stdin:
    request = json_format.Parse(line, ExportTraceServiceRequest())
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert span.end_time_unix_nano >= span.start_time_unix_nano > 1_700_000_000_000_000_000
                assert span.kind == span.SPAN_KIND_SERVER
                print(span.name)
