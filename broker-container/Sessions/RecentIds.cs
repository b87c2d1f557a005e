namespace IotHub.Broker.Sessions;

/// <summary>The last so many message ids of a hub, so that a repeat from the ingest side has no second effect.</summary>
public sealed class RecentIds(int capacity)
{
    private readonly HashSet<Guid> _known = [];
    private readonly Queue<Guid> _order = [];

    /// <summary>False when the id was added before and is still remembered.</summary>
    public bool Add(Guid id)
    {
        if (!_known.Add(id))
        {
            return false;
        }
        _order.Enqueue(id);
        if (_order.Count > capacity)
        {
            _known.Remove(_order.Dequeue());
        }
        return true;
    }

    /// <summary>Takes back an id whose message was not accepted after all.</summary>
    public void Forget(Guid id) => _known.Remove(id);
}
