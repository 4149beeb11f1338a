"""The Dagster shell: assets, checks, sensors and schedules that call plain functions."""

import warnings

import dagster as dg

# Observable sources and several days in one run are marked beta in the pinned version, and are used
# knowingly; a warning on each start would only teach people to overlook warnings.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*is currently in beta")
