using IotHub.Broker.Durability;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Broker.Sessions;

/// <content>
/// The lane and its log. A step writes records and says what must not leave before they are on disk; a commit takes all records so far,
/// is written outside of the lock, and lets go of what waited for it. One commit at a time; what comes meanwhile goes with the next.
/// </content>
public sealed partial class Lane
{
    /// <summary>Clients that a commit lets go of and the thread that wrote it sends to itself: for few that is the shortest way.</summary>
    private const int FewReleased = 16;

    private readonly List<Connection> _awaiting = [];
    private readonly Queue<(SegmentInfo Segment, long Barrier)> _unreferenced = new();
    private LaneCommitter? _committer;
    private long _startsAt;
    private bool _isCommitting;

    /// <summary>What nobody waits for has waited long enough.</summary>
    private bool _isCommitDue;

    /// <summary>Commits that were begun, and that are on disk.</summary>
    private long _begun;
    private long _ended;

    /// <summary>Where changes that must survive are written; null when nothing does.</summary>
    public Journal? Journal { get; private set; }

    /// <summary>Changes whenever something is recorded.</summary>
    public long Mark => Journal?.Log.NextPosition ?? 0;

    /// <summary>Nothing new that must survive is accepted: the disk does not keep up, or fails.</summary>
    public bool RefusesWork => Journal is { RefusesWork: true };

    /// <summary>Something that is recorded is not on disk yet.</summary>
    public bool IsUncommitted => _isCommitting || Journal is { Log.HasPending: true };

    /// <summary>Commits from now on without being asked.</summary>
    internal void Attach(LaneCommitter committer) => _committer = committer;

    internal void AwaitCommit(Connection connection)
    {
        if (!connection.IsAwaitingCommit)
        {
            connection.IsAwaitingCommit = true;
            _awaiting.Add(connection);
        }
    }

    /// <summary>Is there something to commit that somebody waits for, or that has waited long enough? Under the lane.</summary>
    private bool WantsCommit => Journal is { Log.HasPending: true } journal && !_isCommitting
        && (journal.IsUrgent || _awaiting.Count > 0 || _isCommitDue || journal.Log.IsFailing);

    /// <summary>Takes what is recorded so far as the next commit; false when there is nothing.</summary>
    /// <param name="onlyIfWanted">Nor when there is only what may wait a little.</param>
    public bool BeginCommit(bool onlyIfWanted = false)
    {
        Enter();
        try
        {
            var journal = Journal!;
            if (onlyIfWanted && !WantsCommit)
            {
                return false;
            }
            _isCommitDue = false;
            // A commit that is written once more covers what it covered before, not what has come since.
            var isRetry = journal.Log.IsFailing;
            if (!journal.Log.BeginCommit(Clock()))
            {
                return false;
            }
            _isCommitting = true;
            if (!isRetry)
            {
                _begun++;
                foreach (var connection in _awaiting)
                {
                    connection.Outbox.Seal();
                }
                journal.BeginCommit();
            }
            return true;
        }
        finally
        {
            // Not Leave: what the commit before let go of may be another thread's to send.
            Exit();
        }
    }

    /// <summary>Takes an empty commit, behind which damage to the one before it is known as damage; false when there is something to commit.</summary>
    public bool BeginMark()
    {
        Enter();
        try
        {
            _isCommitting = Journal!.Log.BeginMark(Clock());
            if (_isCommitting)
            {
                _begun++;
                Journal.BeginCommit();
            }
            return _isCommitting;
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>The commit is on disk.</summary>
    public void EndCommit()
    {
        List<Action> due;
        Enter();
        try
        {
            Journal!.Log.EndCommit();
            _isCommitting = false;
            _ended++;
            ReleaseHeld();
            due = Journal.EndCommit();
            Clean();
        }
        finally
        {
            LeaveReleased();
        }
        foreach (var action in due)
        {
            action();
        }
    }

    /// <summary>
    /// Ends the step of a commit. What it lets go of for many clients is sent by the thread that will read their answers: they come
    /// while it sends, and are read together, and the next commit need not wait for the sends.
    /// </summary>
    private void LeaveReleased()
    {
        if (_dirty.Count <= FewReleased || Broker.SocketThread is not { } socketThread)
        {
            Leave();
            return;
        }
        Exit();
        if (!socketThread(_sendReleased))
        {
            SendReleased();
        }
    }

    private void SendReleased()
    {
        Enter();
        Leave();
    }

    /// <summary>The commit could not be written: it stays the next one, and nothing that waits for it leaves.</summary>
    public void FailCommit()
    {
        Enter();
        try
        {
            Journal!.Log.FailCommit();
            _isCommitting = false;
        }
        finally
        {
            // Not Leave's wake-up: whoever drives the commits waits before the next try.
            Leave();
        }
    }

    /// <summary>A segment that nothing needs any more, to be deleted outside of the lane.</summary>
    public SegmentInfo? TakeDeletable()
    {
        Enter();
        try
        {
            return _unreferenced.TryPeek(out var oldest) && oldest.Barrier <= _ended ? _unreferenced.Dequeue().Segment : null;
        }
        finally
        {
            Exit();
        }
    }

    private LogClock Clock() => new(Now, Broker.Time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>What was held in a step that recorded nothing in the end waits for nothing.</summary>
    private void ReleaseIfNothingIsRecorded()
    {
        if (_awaiting.Count == 0 || IsUncommitted)
        {
            return;
        }
        foreach (var connection in _awaiting)
        {
            connection.IsAwaitingCommit = false;
            connection.Outbox.ReleaseAll();
            if (connection.Outbox.SendableBytes > 0)
            {
                MarkDirty(connection);
            }
        }
        _awaiting.Clear();
    }

    private void ReleaseHeld()
    {
        var kept = 0;
        for (var i = 0; i < _awaiting.Count; i++)
        {
            var connection = _awaiting[i];
            connection.Outbox.Release();
            if (connection.Outbox.SendableBytes > 0)
            {
                MarkDirty(connection);
            }
            if (connection.Outbox.IsHeld)
            {
                _awaiting[kept++] = connection;
            }
            else
            {
                connection.IsAwaitingCommit = false;
            }
        }
        _awaiting.RemoveRange(kept, _awaiting.Count - kept);
    }
}
