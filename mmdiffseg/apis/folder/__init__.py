"""What training on folders consists of: pairs, check, config, plan, report."""
