namespace IotHub.Broker.Durability;

/// <summary>One shard's files as the log sees them. Driver: <see cref="FileShardFiles"/>; later append blobs.</summary>
public interface IShardFiles
{
    int Shard { get; }

    /// <summary>For messages to the operator: the folder.</summary>
    string Name { get; }

    /// <summary>The store these files belong to; part of every checksum, so that a file of another store is never taken for ours.</summary>
    Guid StoreId { get; }

    /// <summary>What is there, by <see cref="ISegment.First"/>.</summary>
    IReadOnlyList<ISegment> Open();

    /// <summary>
    /// A new segment: there with its header when this returns, and at no time there without. One of the same position, which a failed
    /// try left behind, is replaced.
    /// </summary>
    ISegment Create(long first, ReadOnlySpan<byte> header);

    /// <summary>
    /// Lays out zeros up to <paramref name="length"/> that the next <see cref="Create"/> begins with, so that nobody waits for that then.
    /// One at a time, on any thread, beside everything else. Durable when it returns. Does nothing while there is one that was not taken.
    /// </summary>
    void Prepare(long length);

    /// <summary>The few bytes that stand beside the segments; null when nothing was ever written.</summary>
    byte[]? ReadNote();

    /// <summary>Replaces them: durable when it returns, and at any time wholly the old or the new ones.</summary>
    void WriteNote(ReadOnlySpan<byte> bytes);

    /// <summary>Durable when it returns: segments go in the order in which they are given here, whatever happens.</summary>
    void Delete(ISegment segment);
}

/// <summary>One file of a shard. Writers are one at a time; reads may happen beside a write.</summary>
public interface ISegment : IDisposable
{
    /// <summary>For messages to the operator: the file's path.</summary>
    string Name { get; }

    /// <summary>Position, in the log of the whole shard, of the first block in it (its header is outside the log's positions).</summary>
    long First { get; }

    /// <summary>Bytes that can be read; may end in zeros laid out in advance.</summary>
    long Length { get; }

    /// <summary>Durable when it returns. After an IOException or UnauthorizedAccessException any part of it may be there or not.</summary>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>
    /// Lays out zeros up to <paramref name="length"/>, so that the writes into them need not grow the file. Durable when it returns.
    /// </summary>
    void Extend(long length);

    /// <returns>Bytes read; less than asked for only at the end.</returns>
    int Read(long offset, Span<byte> into);

    /// <summary>Cuts off what is behind <paramref name="length"/>. Durable when it returns.</summary>
    void Truncate(long length);
}
