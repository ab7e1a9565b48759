"""What the commands of caches and document stores are, in traits."""

from __future__ import annotations

from detectors.kit.shapes.words import word_set
from detectors.kit.traits import Trait

_READ_ONE = Trait.READ | Trait.SINGLE_KEY
_FILL = Trait.WRITE | Trait.FILL
_EVICT = Trait.WRITE | Trait.EVICT


def _table(**rows: tuple[Trait, str]) -> dict[str, Trait]:
    return {word: traits for traits, text in rows.values() for word in word_set(text)}


# Queues and publish/subscribe are no cache: they are neither READ nor FILL.
REDIS = _table(
    one=(
        _READ_ONE,
        (
            "GET GETRANGE SUBSTR STRLEN EXISTS HGET "
            "HGETALL HEXISTS HLEN HKEYS HVALS HSTRLEN SMEMBERS "
            "SISMEMBER SMISMEMBER SCARD SRANDMEMBER "
            "ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE "
            "ZRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZRANK ZREVRANK LRANGE LINDEX GETBIT BITCOUNT "
            "PFCOUNT DUMP GEOPOS GEODIST GEOSEARCH JSON.GET TS.GET"
        ),
    ),
    many=(
        Trait.READ,
        (
            "MGET HMGET JSON.MGET SUNION SINTER SDIFF ZUNION "
            "ZINTER ZDIFF SCAN HSCAN SSCAN ZSCAN KEYS "
            "FT.SEARCH FT.AGGREGATE RANDOMKEY HRANDFIELD TS.MGET"
        ),
    ),
    fill=(_FILL, "SET SETNX MSET MSETNX HSET HMSET HSETNX JSON.SET JSON.MSET"),
    fill_expiring=(_FILL | Trait.EXPIRES, "SETEX PSETEX HSETEX"),
    swap=(_READ_ONE | _FILL, "GETSET"),
    touch=(_READ_ONE | Trait.EXPIRES, "GETEX"),
    take=(_READ_ONE | _EVICT, "GETDEL"),
    evict=(_EVICT, "DEL UNLINK HDEL FLUSHDB FLUSHALL JSON.DEL"),
    expire=(Trait.EXPIRES, "EXPIRE PEXPIRE EXPIREAT PEXPIREAT HEXPIRE HPEXPIRE"),
    write=(
        Trait.WRITE,
        (
            "APPEND INCR INCRBY INCRBYFLOAT DECR DECRBY HINCRBY HINCRBYFLOAT SADD SREM SMOVE ZADD "
            "ZREM ZINCRBY ZREMRANGEBYSCORE ZREMRANGEBYRANK SETBIT SETRANGE PFADD PFMERGE GEOADD "
            "RENAME RENAMENX COPY RESTORE PERSIST LSET "
            "LTRIM LREM LPUSH RPUSH LPUSHX RPUSHX LINSERT "
            "XADD XDEL XTRIM TS.ADD BF.ADD CF.ADD"
        ),
    ),
    ping=(Trait.PING, "PING ECHO"),
    control=(
        Trait.CONTROL,
        (
            "AUTH SELECT HELLO CLIENT MULTI EXEC WATCH UNWATCH DISCARD CONFIG INFO COMMAND SCRIPT "
            "CLUSTER QUIT RESET READONLY READWRITE ASKING TIME DBSIZE ROLE WAIT SENTINEL MONITOR "
            "SLOWLOG MEMORY OBJECT FUNCTION ACL LATENCY MODULE SUBSCRIBE PSUBSCRIBE SSUBSCRIBE "
            "UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE CONNECT"
        ),
    ),
)
REDIS_MANY = word_set("MGET HMGET JSON.MGET DEL UNLINK EXISTS")  # whose arguments are all keys

MEMCACHED = _table(
    one=(_READ_ONE, "get gets"),
    many=(Trait.READ, "get_many gets_many get_multi get_dict getmulti get_multi_cas"),
    touch=(_READ_ONE | Trait.EXPIRES, "gat gats get_and_touch"),
    fill=(_FILL, "set add replace cas set_many set_multi set_cas"),
    write=(Trait.WRITE, "append prepend incr decr increment decrement"),
    evict=(_EVICT, "delete delete_many delete_multi flush_all flush"),
    expire=(Trait.EXPIRES, "touch"),
    ping=(Trait.PING, "version noop"),
    control=(Trait.CONTROL, "stats quit verbosity shutdown cache_memlimit auth"),
)

# Lower case, so that `isMaster` and `ismaster` are one.
MONGODB = _table(
    read=(
        Trait.READ,
        (
            "find findone count countdocuments estimateddocumentcount distinct aggregate mapreduce "
            "geonear parallelcollectionscan"
        ),
    ),
    cursor=(Trait.READ | Trait.CURSOR, "getmore"),
    write=(
        Trait.WRITE,
        (
            "insert insertone update updateone updatemany replaceone delete deleteone deletemany "
            "findandmodify findoneandupdate findoneandreplace findoneanddelete save remove"
        ),
    ),
    many=(Trait.WRITE | Trait.MULTI_ROW, "insertmany bulkwrite"),
    ping=(Trait.PING | Trait.CONTROL, "ping hello ismaster"),
    control=(
        Trait.CONTROL,
        (
            "endsessions saslstart saslcontinue buildinfo startsession killcursors killsessions "
            "committransaction aborttransaction getnonce authenticate logout serverstatus "
            "getparameter explain refreshsessions connectionstatus whatsmyuri getlasterror"
        ),
    ),
    ddl=(
        Trait.DDL,
        (
            "create createindexes drop dropindexes dropdatabase listcollections listindexes "
            "listdatabases collmod collstats dbstats validate renamecollection reindex"
        ),
    ),
)
DYNAMODB = _table(
    one=(_READ_ONE, "getitem"),
    many=(Trait.READ | Trait.LISTED, "batchgetitem transactgetitems"),
    read=(Trait.READ, "query scan executestatement"),
    write=(Trait.WRITE, "putitem updateitem deleteitem"),
    rows=(Trait.WRITE | Trait.MULTI_ROW, "batchwriteitem transactwriteitems"),
    ddl=(
        Trait.DDL,
        (
            "createtable deletetable updatetable describetable listtables describetimetolive "
            "updatetimetolive listtagsofresource"
        ),
    ),
    control=(Trait.CONTROL, "describeendpoints describelimits"),
)
ELASTICSEARCH = _table(
    one=(_READ_ONE, "get get_source exists exists_source _doc _source termvectors"),
    many=(Trait.READ | Trait.LISTED, "mget msearch _mget _msearch"),
    read=(
        Trait.READ,
        (
            "search count _search _count suggest explain _sql sql.query esql.query eql.search "
            "async_search.submit search_template _search_template knn_search terms_enum"
        ),
    ),
    cursor=(Trait.READ | Trait.CURSOR | Trait.PAGED, "scroll _scroll"),
    write=(Trait.WRITE, "index create update delete _create _update"),
    rows=(
        Trait.WRITE | Trait.MULTI_ROW,
        (
            "bulk _bulk update_by_query delete_by_query _update_by_query _delete_by_query reindex "
            "_reindex"
        ),
    ),
    ping=(Trait.PING, "ping info"),
    control=(Trait.CONTROL, "clear_scroll open_point_in_time close_point_in_time _pit"),
)
# Stores without a table of their own, by the first word of the operation.
GENERIC = _table(
    one=(_READ_ONE, "get getitem read readitem lookup getdocument"),
    read=(
        Trait.READ,
        "find query select scan list search fetch queryitems readall count aggregate",
    ),
    many=(Trait.READ | Trait.LISTED, "batchget getall multiget batchgetdocuments"),
    write=(
        Trait.WRITE,
        (
            "put insert update upsert delete set create write add remove patch replace createitem "
            "upsertitem replaceitem deleteitem patchitem"
        ),
    ),
    rows=(Trait.WRITE | Trait.MULTI_ROW, "bulk batchwrite bulkwrite commit batch"),
    ping=(Trait.PING, "ping"),
)
