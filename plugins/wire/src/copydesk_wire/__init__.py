"""What plugins for venues with HTTP and websockets share, whatever library they lean on."""
