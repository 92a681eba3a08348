"""The production framework: request, unit, attempt, block, module, job, wrapper and exec."""
