# Tiny models with exact answers, through the whole engine.
