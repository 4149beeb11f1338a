"""How long hypothesis may take is no matter of these tests: machines are slow at times."""

from hypothesis import HealthCheck, settings

settings.register_profile("accounting", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("accounting")
