"""Whatever happens to hub, runs and tables in whatever order, bronze and gold end as the model says.

A share of what `make stress` runs: there it is thousands of examples.
"""

from hypothesis import HealthCheck, Phase, settings

from oai_usage_pipeline_tests.capture.capture_machine import CaptureMachine

TestCapture = CaptureMachine.TestCase
TestCapture.settings = settings(
    max_examples=14,
    stateful_step_count=30,
    deadline=None,
    # Without shrinking: an example is a lake, and thirty steps are short enough to read.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
