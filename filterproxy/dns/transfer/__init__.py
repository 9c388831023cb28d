"""Lists as response policy zones for other resolvers: what stands in them, who may take them, and how they travel."""
