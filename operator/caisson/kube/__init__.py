"""Access to the API server: client, informers, stores, work queue, leader election, exec."""
