"""The Dagster shell: assets, checks, sensors and schedules that call plain functions."""
