using System.Runtime.InteropServices;

namespace IotHub.Broker.Sessions;

/// <summary>The last so many message ids of a hub, so that a repeat from the ingest side has no second effect.</summary>
public sealed class RecentIds(int capacity)
{
    /// <summary>With the place of their records in the log, or 0.</summary>
    private readonly Dictionary<Guid, long> _known = [];
    private readonly Queue<Guid> _order = [];

    /// <summary>Where the records of known ids lie.</summary>
    public IEnumerable<long> Positions => _known.Values;

    /// <summary>False when the id was added before and is still remembered.</summary>
    /// <param name="forgotten">Where the record of the id lies that is not remembered any more; else 0.</param>
    public bool Add(Guid id, long position, out long forgotten)
    {
        forgotten = 0;
        if (!_known.TryAdd(id, position))
        {
            return false;
        }
        _order.Enqueue(id);
        while (_known.Count > capacity && _order.TryDequeue(out var oldest))
        {
            _known.Remove(oldest, out forgotten);
        }
        return true;
    }

    /// <summary>Takes back an id whose message was not accepted after all.</summary>
    public void Forget(Guid id) => _known.Remove(id);

    /// <summary>The record of this id; a null reference when the id is not known.</summary>
    public ref long PositionOf(Guid id) => ref CollectionsMarshal.GetValueRefOrNullRef(_known, id);
}
