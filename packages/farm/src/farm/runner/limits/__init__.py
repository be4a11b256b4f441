"""Resource limits of renderers: their values, how usage is measured, and how they are enforced."""
