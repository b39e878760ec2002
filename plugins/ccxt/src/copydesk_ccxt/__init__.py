"""What copydesk's plugins that lean on ccxt share. No venue library is imported before `venue.share`, in a thread."""
