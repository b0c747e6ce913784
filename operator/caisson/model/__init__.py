"""Types that the other packages share: observed state, actions, condition results, pod snapshots, reports,
ownership."""
